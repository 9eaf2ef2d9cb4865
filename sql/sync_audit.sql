-- What people did on the page, newest last; old rows are removed. caller: the address it came from. action:
-- resolve, resolve_many, retry, discard, allow, drain, pause, resume. subject: what it was done to. reason: as
-- the person gave it. records: how many it changed. error: why it was not done (NULL: it was).
CREATE TABLE IF NOT EXISTS sync_audit (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  happened_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  caller VARCHAR(64) CHARACTER SET ascii NOT NULL,
  action VARCHAR(32) CHARACTER SET ascii NOT NULL,
  peer VARCHAR(32) CHARACTER SET ascii NULL,
  subject VARCHAR(255) NULL,
  reason VARCHAR(255) NULL,
  records BIGINT UNSIGNED NOT NULL,
  error VARCHAR(512) NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
