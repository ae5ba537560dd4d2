CREATE TABLE IF NOT EXISTS cache_idempotency_keys (
  resource TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (resource, idempotency_key)
)
