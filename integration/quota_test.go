//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startWithQuota starts a server that takes so many MB of uploads, of which so many were
// used before.
func startWithQuota(t *testing.T, limit, used int) *server {
	t.Helper()
	dir := t.TempDir()
	limits, tally := filepath.Join(dir, "limit"), filepath.Join(dir, "tally")
	for _, args := range [][]string{
		{"--create-table", "--type=limit", "--table-path=" + limits},
		{"--create-table", "--type=tally", "--table-path=" + tally},
		{"--add-record", "--type=limit", "--name=" + ftpUser, "--quota-type=user", "--limit-type=hard", fmt.Sprint("--bytes-upload=", limit), "--units=Mb", "--table-path=" + limits},
		{"--add-record", "--type=tally", "--name=" + ftpUser, "--quota-type=user", fmt.Sprint("--bytes-upload=", used), "--units=Mb", "--table-path=" + tally},
	} {
		out, errs, err := command("/", "ftpquota", args...) // of the package with ProFTPD
		if err != nil {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
	}
	return startServer(t, proftpd, "LoadModule mod_quotatab.c", "LoadModule mod_quotatab_file.c", "QuotaEngine on",
		"QuotaLimitTable file:"+limits, "QuotaTallyTable file:"+tally)
}

// TestQuota: df shows the quota that the server tells of.
func TestQuota(t *testing.T) {
	t.Parallel()
	m := mount(t, startWithQuota(t, 20, 5))
	eventually(t, 10*time.Second, func() error {
		var st syscall.Statfs_t
		must(t, syscall.Statfs(m.Dir, &st))
		if total, free := int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize; total != 20<<20 || free != 15<<20 {
			return fmt.Errorf("%d of %d bytes are free", free, total)
		}
		return nil
	})
}

// TestOverQuota: what the quota does not allow is refused with EDQUOT, by close
// or, where that does not wait for the server, by the next open; the bytes are
// in the recovery folder, the server keeps what it had, and reading goes on.
func TestOverQuota(t *testing.T) {
	quotas := map[kind]func(t *testing.T) *server{
		proftpd:  func(t *testing.T) *server { return startWithQuota(t, 2, 0) },
		pureftpd: func(t *testing.T) *server { return startServer(t, pureftpd, "--quota=1000:2") }, // files, MB
	}
	for _, test := range []struct {
		k    kind
		mode string
	}{{proftpd, "through"}, {proftpd, "back"}, {pureftpd, "through"}, {pureftpd, "back"}} {
		t.Run(fmt.Sprint(test.k, "/", test.mode), func(t *testing.T) {
			t.Parallel()
			s, mode := quotas[test.k](t), test.mode
			old := randomBytes(61, 100_000)
			put(t, s.Served+"/old", old)
			m := mount(t, s, "--write="+mode)
			m.Expect("level=WARN")
			must(t, os.WriteFile(m.Dir+"/fits", old, 0o644))
			for i, name := range []string{"/old", "/new"} {
				large, from := randomBytes(uint64(62+i), 3<<20), t.TempDir()+name
				must(t, os.WriteFile(from, large, 0o644))
				// A program of its own writes: this one forks, which makes copies of its descriptors.
				_, said, err := command(m.Dir, "cp", from, "."+name)
				if mode == "through" {
					if err == nil || !strings.Contains(said, "quota exceeded") {
						t.Errorf("cp said %q, %v", said, err)
					}
				} else {
					must(t, err)
					if o := ftpfs(t, nil, "flush", m.Dir); o.Code != 1 || !strings.Contains(o.Stderr, name) {
						t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
					}
					_, err = os.Open(m.Dir + name)
					wantErrno(t, err, syscall.EDQUOT)
				}
				must(t, holds(m.Dir+"/old", old))
				must(t, holds(s.Served+"/old", old))
				equal(t, "in the recovery folder", recoveredWith(t, m.Cache, large), 1)
			}
			must(t, os.WriteFile(m.Dir+"/fits", old[:1000], 0o644))
			m.Unmount(t)
			must(t, holds(s.Served+"/fits", old[:1000]))
			noTemporaries(t, s.Served)
		})
	}
}

// recoveredWith counts the files of the recovery folder that hold content.
func recoveredWith(t *testing.T, cache string, content []byte) (n int) {
	t.Helper()
	for _, name := range recoveredIn(cache) {
		if holds(name, content) == nil {
			n++
		}
	}
	return n
}
