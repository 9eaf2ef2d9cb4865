-- How folder and list of a tree stood when they were last found alike: when the server last changed the two tables, and what
-- was looked for. While the server says the same of both, they are alike still. Empty after every start of the server, which
-- knows those times in memory alone.
CREATE TABLE IF NOT EXISTS sync_tree_calm (
  tree VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  state VARCHAR(255) NOT NULL,
  noted_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=MEMORY DEFAULT CHARSET=utf8mb4
