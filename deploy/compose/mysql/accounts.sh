#!/bin/sh
# Makes the accounts of the service; MySQL's image runs it once, on an empty data folder. `accounts.sh print` only prints the
# SQL. The tables are not there yet: a right may be given on one that is to come if CREATE is given with it, and CREATE is
# taken back.
set -eu

for secret in "$DB_PASSWORD" "$DB_OWNER_PASSWORD"; do
  case $secret in
    '' | *[!A-Za-z0-9_-]*) echo 'accounts.sh: passwords are of letters, digits, - and _' >&2; exit 1 ;;
  esac
done

statements() {
  cat <<SQL
CREATE USER 'energex'@'%' IDENTIFIED BY '$DB_PASSWORD';
GRANT CREATE, SELECT ON energex.users TO 'energex'@'%';
GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON energex.posts TO 'energex'@'%';
GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON energex.cache_outbox TO 'energex'@'%';
GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON energex.cache_idempotency_keys TO 'energex'@'%';
GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON energex.cache_barrier TO 'energex'@'%';
REVOKE CREATE ON energex.users FROM 'energex'@'%';
REVOKE CREATE ON energex.posts FROM 'energex'@'%';
REVOKE CREATE ON energex.cache_outbox FROM 'energex'@'%';
REVOKE CREATE ON energex.cache_idempotency_keys FROM 'energex'@'%';
REVOKE CREATE ON energex.cache_barrier FROM 'energex'@'%';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'energex'@'%';
CREATE USER 'energex_owner'@'%' IDENTIFIED BY '$DB_OWNER_PASSWORD';
GRANT CREATE, REFERENCES, SELECT, INSERT, UPDATE, DELETE ON energex.* TO 'energex_owner'@'%';
SQL
}

if [ "${1:-}" = print ]; then
  statements
else
  statements | MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root
fi
