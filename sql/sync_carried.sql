-- Contents of upload folders on their way, for people: how much was carried since began_at, the beginning of a stretch
-- without a pause, until moved_at, and what the last answer said is left. peer: to whom; "" = to this node, from whichever.
-- done_at: when nothing was left last. Written once a message, and read by nothing but what shows it.
CREATE TABLE IF NOT EXISTS sync_carried (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL,
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  began_at TIMESTAMP(6) NULL DEFAULT NULL,
  moved_at TIMESTAMP(6) NULL DEFAULT NULL,
  contents BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  left_contents BIGINT UNSIGNED NOT NULL DEFAULT 0,
  left_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  done_at TIMESTAMP(6) NULL DEFAULT NULL,
  PRIMARY KEY (tree, peer)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
