-- Links that began anew, or have to. renewal: the id of that beginning, the same on both sides; '' = this node's
-- database is another one than the peer has met, and a person begins the link anew (agent --install --peer);
-- 'left' = its section of agent.conf went: the link begins anew when it is back.
-- told: the peer knows of it; until then each hello names it.
CREATE TABLE IF NOT EXISTS sync_renewal (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  renewal CHAR(32) CHARACTER SET ascii NOT NULL,
  told TINYINT UNSIGNED NOT NULL DEFAULT 0,
  since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
