-- From version 1 of the sync schema to 2: people decide conflicts. One statement, fit to be run twice; tables that
-- version 2 added are made by their own files.
ALTER TABLE sync_conflict
  ADD COLUMN IF NOT EXISTS resolved_at TIMESTAMP(6) NULL DEFAULT NULL,
  ADD COLUMN IF NOT EXISTS resolution ENUM('local','remote') CHARACTER SET ascii NULL
