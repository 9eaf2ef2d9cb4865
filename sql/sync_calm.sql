-- How many CREATE and DROP TRIGGER statements the server had begun, and ended, when all triggers were last found as they
-- were noted: while it is the same number, they are. Empty after every start of the server, which counts anew.
CREATE TABLE IF NOT EXISTS sync_calm (
  one TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  statements BIGINT UNSIGNED NOT NULL
) ENGINE=MEMORY
