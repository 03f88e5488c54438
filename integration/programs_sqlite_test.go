//go:build linux

package integration

import "testing"

// sqlitePrograms use a database in the folder: with a rollback journal, with
// a write-ahead log, which is a file that is mapped and shared, and with a
// process that dies in between.
func sqlitePrograms() []program {
	const check = `sqlite3 db 'PRAGMA integrity_check; SELECT count(*), sum(n), sum(length(text)) FROM t;'; sqlite3 db .dump | sha256sum`
	again := func(t *testing.T, e env) string { return sh(t, e.Dir, check) }
	return []program{
		{name: "sqlite-journal", again: again, run: func(t *testing.T, e env) string {
			return sh(t, e.Dir, `for mode in delete truncate persist; do sqlite3 -bail db "PRAGMA journal_mode=$mode;"'`+sqliteWork+`'; done
rm db-journal; sqlite3 -bail db 'VACUUM; PRAGMA journal_mode=delete;'
`+check) + onServer(t, e, check)
		}},
		{name: "sqlite-wal", again: again, run: func(t *testing.T, e env) string {
			return sh(t, e.Dir, `sqlite3 -bail db 'PRAGMA journal_mode=wal; `+sqliteWork+`'
# A reader while another process writes: it sees the state of its transaction.
coproc reader { sqlite3 -bail db; }
echo 'BEGIN; SELECT count(*) FROM t;' >&${reader[1]}; read -r before <&${reader[0]}
sqlite3 -bail db 'INSERT INTO t(n, text) VALUES (-1, "written meanwhile");'
echo 'SELECT count(*) FROM t; COMMIT; SELECT count(*) FROM t;' >&${reader[1]}
read -r during <&${reader[0]}; read -r after <&${reader[0]}
echo .quit >&${reader[1]}; wait $reader_PID; echo $before $during $after
sqlite3 -bail db 'PRAGMA wal_checkpoint(TRUNCATE);'; ls
`+check) + onServer(t, e, check)
		}},
		{name: "sqlite-killed", again: again, varies: []string{"db"}, run: func(t *testing.T, e env) string {
			return sh(t, e.Dir, `sqlite3 -bail db 'PRAGMA journal_mode=delete; `+sqliteWork+`'
# One dies with a hot journal, another with a log that is not checkpointed.
! printf '%s\n' 'PRAGMA cache_size=5; BEGIN; UPDATE t SET n = n + 1000;' '.shell kill -9 $PPID' | sqlite3 db 2>/dev/null
ls; `+check+`
! printf '%s\n' 'PRAGMA journal_mode=wal; INSERT INTO t(n, text) VALUES (7, "in the log");' '.shell kill -9 $PPID' | sqlite3 db 2>/dev/null
ls; `+check+`; sqlite3 -bail db 'PRAGMA journal_mode=delete;'`) + onServer(t, e, check)
		}},
	}
}

// onServer runs a script on a copy of what the server has of the folder.
func onServer(t *testing.T, e env, script string) string {
	t.Helper()
	copied := t.TempDir()
	sh(t, e.Served, "cp -a . "+copied)
	return sh(t, copied, script)
}

const sqliteWork = `
CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
CREATE INDEX IF NOT EXISTS byn ON t(n);
BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000) INSERT INTO t(n, text) SELECT i * 7919 % 3001, hex(i) || " some text" FROM c;
COMMIT;
UPDATE t SET text = text || " changed" WHERE n % 10 = 3;
BEGIN; DELETE FROM t; ROLLBACK;
DELETE FROM t WHERE n % 17 = 0;
INSERT INTO t(n, text) VALUES (1, "one"), (2, "two");
SELECT count(*) FROM t;
`
