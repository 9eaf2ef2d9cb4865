-- What is ordered of an upload folder beside its mode, for a short time. pull: it takes what its list says, as long as
-- agent --pull renews the row. want: contents are missing here, and the peers are to be told so. come: a peer of which
-- that is true has asked to be asked what it needs.
CREATE TABLE IF NOT EXISTS sync_order (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL,
  what ENUM('pull','want','come') CHARACTER SET ascii NOT NULL,
  until TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (tree, what)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
