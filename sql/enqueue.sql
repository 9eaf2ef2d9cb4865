-- The only routine that names the queue: with a second one, LOCK TABLES by an app makes writes
-- fail with error 1442. linked: the row enqueued just before by this session holds the old key.
CREATE OR REPLACE PROCEDURE enqueue(
  t VARCHAR(64) CHARACTER SET utf8mb4, o VARCHAR(6) CHARACTER SET ascii, k VARBINARY(3072),
  c VARBINARY(128), d BLOB, linked TINYINT) MODIFIES SQL DATA
INSERT INTO sync_queue (link, id, table_name, operation, record_id, changed_columns, difference, changed_at)
VALUES (IF(linked, LASTVAL(sync_sequence), NULL), NEXTVAL(sync_sequence), t, o, k, c, d, NOW(6))
