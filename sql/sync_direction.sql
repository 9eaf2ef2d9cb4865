-- Which tables travel one way at each peer ([table] direction in its agent.conf), as its hello or welcome told: lines
-- of "send NAME", "receive NAME" or "relay NAME". Compared with what agent.conf says here.
CREATE TABLE IF NOT EXISTS sync_direction (
  peer VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  told MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
