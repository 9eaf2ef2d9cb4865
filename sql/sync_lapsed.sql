-- Peers that have taken nothing for retention_days though something waited for them: it is given up, and they hold
-- back neither statuses nor the purge any more. The link begins anew (agent --install --peer) or the peer is filled
-- again (agent --startup); then the row goes.
CREATE TABLE IF NOT EXISTS sync_lapsed (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  lapsed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
