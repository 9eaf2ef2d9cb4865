-- What follows the first piece of a kept version that one statement could not carry (max_allowed_packet):
-- local_row or remote_row of sync_conflict and then these, in order, are the whole. Part 0 is no piece: the number
-- of the CHECKs that the table had where the version was (left out: none, or not known).
CREATE TABLE IF NOT EXISTS sync_conflict_part (
  conflict BIGINT UNSIGNED NOT NULL,
  side ENUM('local','remote') CHARACTER SET ascii NOT NULL,
  part INT UNSIGNED NOT NULL,
  data LONGBLOB NOT NULL,
  PRIMARY KEY (conflict, side, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
