-- Marks on the queue. An epoch's mark contains the ids up to high_id except its holes (ids that
-- were not visible in the snapshot: "lo-hi,lo,..."); a change belongs to the first epoch whose
-- mark contains it. stamp: random, so that a restored or cloned node is told apart. cut: the mark
-- ends inside a snapshot because a group was larger than group_rows.
CREATE TABLE IF NOT EXISTS sync_epoch (
  epoch BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  high_id BIGINT UNSIGNED NOT NULL,
  holes LONGTEXT CHARACTER SET ascii NOT NULL,
  stamp CHAR(16) CHARACTER SET ascii NOT NULL,
  cut TINYINT UNSIGNED NOT NULL DEFAULT 0,
  marked_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
