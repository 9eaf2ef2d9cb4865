-- This node: one row.
-- name: of agent.conf when installed. incarnation: random id of this life of the database; a
-- restored or cloned database must get a new one. token: names the user variable that keeps the
-- agent's own writes out of the queue. settled_epoch: what its mark contains has got
-- its status (statuses are for people; positions never read them).
CREATE TABLE IF NOT EXISTS sync_node (
  one TINYINT UNSIGNED NOT NULL DEFAULT 1 PRIMARY KEY,
  name VARCHAR(32) CHARACTER SET ascii NOT NULL,
  incarnation CHAR(32) CHARACTER SET ascii NOT NULL,
  token CHAR(16) CHARACTER SET ascii NOT NULL,
  schema_version INT UNSIGNED NOT NULL,
  settled_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  installed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
