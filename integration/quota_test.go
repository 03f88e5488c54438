//go:build linux

package integration

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestQuota: df shows the quota that the server tells of.
func TestQuota(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	limit, tally := filepath.Join(dir, "limit"), filepath.Join(dir, "tally")
	for _, args := range [][]string{
		{"--create-table", "--type=limit", "--table-path=" + limit},
		{"--create-table", "--type=tally", "--table-path=" + tally},
		{"--add-record", "--type=limit", "--name=" + ftpUser, "--quota-type=user", "--limit-type=hard", "--bytes-upload=20", "--units=Mb", "--table-path=" + limit},
		{"--add-record", "--type=tally", "--name=" + ftpUser, "--quota-type=user", "--bytes-upload=5", "--units=Mb", "--table-path=" + tally},
	} {
		out, errs, err := command("/", "ftpquota", args...) // of the package with ProFTPD
		if err != nil {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
	}
	s := startServer(t, proftpd, "LoadModule mod_quotatab.c", "LoadModule mod_quotatab_file.c", "QuotaEngine on",
		"QuotaLimitTable file:"+limit, "QuotaTallyTable file:"+tally)
	m := mount(t, s)
	eventually(t, 10*time.Second, func() error {
		var st syscall.Statfs_t
		must(t, syscall.Statfs(m.Dir, &st))
		if total, free := int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize; total != 20<<20 || free != 15<<20 {
			return fmt.Errorf("%d of %d bytes are free", free, total)
		}
		return nil
	})
}
