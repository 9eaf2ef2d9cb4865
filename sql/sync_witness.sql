-- Which tables this schema's positions stand in: InnoDB's ids of them. A table that was loaded from a dump,
-- emptied by TRUNCATE or made anew has another one, and then this node is not the one its peers have met.
CREATE TABLE IF NOT EXISTS sync_witness (
  table_name VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  table_id BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
