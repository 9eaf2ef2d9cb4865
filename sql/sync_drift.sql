-- Tables that moved without their triggers seeing it: until compared with the peer, nothing is sent from
-- them. act: 'mine' = what differs travels from here under the conflict rule; 'look' = the comparison changes
-- nothing, and when something differs a person chooses. state: 'compare' = at the next drain, 'held' = a
-- person chooses, 'gone' = the table is not there. reason: what was noticed. message: why the last
-- comparison did not come to an end. records: how many differ. ready: its triggers stand again.
CREATE TABLE IF NOT EXISTS sync_drift (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  act ENUM('mine','look') CHARACTER SET ascii NOT NULL,
  state ENUM('compare','held','gone') CHARACTER SET ascii NOT NULL,
  reason VARCHAR(255) NOT NULL,
  message VARCHAR(512) NULL,
  records BIGINT UNSIGNED NOT NULL DEFAULT 0,
  ready TINYINT UNSIGNED NOT NULL DEFAULT 0,
  since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (peer, table_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
