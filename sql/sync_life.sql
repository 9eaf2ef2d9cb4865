-- Empty after every start of the server, because it lives in memory: tells a server that was restarted
-- without its numbering from one whose numbering a person has changed. A clock cannot: it may be set.
CREATE TABLE IF NOT EXISTS sync_life (
  one TINYINT UNSIGNED NOT NULL PRIMARY KEY
) ENGINE=MEMORY
