-- How servers number new rows (global auto_increment_increment and auto_increment_offset) and write
-- table names (lower_case_table_names): this node's as last seen, the peers' as hello and welcome told
-- them. A server that comes back from a restart without its numbering is given it again.
CREATE TABLE IF NOT EXISTS sync_numbering (
  node VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  auto_increment_increment INT UNSIGNED NOT NULL,
  auto_increment_offset INT UNSIGNED NOT NULL,
  lower_case_table_names TINYINT UNSIGNED NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
