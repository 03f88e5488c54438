//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// asUser runs a script in a folder of its own as the user nobody: in
// namespaces that end with it, where everybody may open /dev/fuse, as is usual, or else nobody.
func asUser(t *testing.T, mayFuse bool, script string) (home, out, errs string, err error) {
	t.Helper()
	home = t.TempDir()
	must(t, os.Chmod(filepath.Dir(home), 0o755))
	must(t, os.Chown(home, 65534, 65534))
	mode := map[bool]string{true: "666", false: "600"}[mayFuse]
	device := filepath.Join(t.TempDir(), "fuse")
	must(t, os.WriteFile(home+"/script", []byte("set -eu\ncd; mkdir mnt\n"+script), 0o644))
	out, errs, err = command("/", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", `
mknod -m $2 $3 c 10 229
mount --bind $3 /dev/fuse
exec env -u XDG_RUNTIME_DIR -u XDG_CACHE_HOME HOME=$1 setpriv --reuid nobody --regid nogroup --clear-groups bash $1/script`,
		"sh", home, mode, device)
	return home, out, errs, err
}

// TestOrdinaryUser: what a stranger does first, without being root: there
// fusermount3 mounts, and the kernel does not read copies by itself.
func TestOrdinaryUser(t *testing.T) {
	for _, k := range []kind{vsftpd, proftpd} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			put(t, s.Served+"/f", []byte("served"))
			mount := "FTPFS_PASSWORD=" + ftpPassword + " " + the.binary + " " + s.URL("/") + " mnt\n"
			_, out, errs, err := asUser(t, true, mount+`
cat mnt/f
echo written > mnt/new
python3 -c "
import os, mmap
fd = os.open('mnt/f', os.O_RDWR)
os.pwrite(fd, b'S', 0)
m = mmap.mmap(fd, 6); m[5:6] = b'D'; m.close()
os.close(fd)"
mkdir mnt/dir; mv mnt/new mnt/dir/moved; cp -p mnt/f mnt/dir; echo more >> mnt/dir/moved
stat -c ' %U' mnt/f
`+the.binary+` status mnt | grep -c mounted
fusermount3 -u mnt
`+mount+`
cat mnt/dir/moved
kill -9 $(`+the.binary+` status mnt | awk '$1 == "process" {print $2}')
until [ "$(cat mnt/f 2>&1)" = "cat: mnt/f: Transport endpoint is not connected" ]; do :; done
`+mount+`
cat mnt/f
`+the.binary+` umount mnt
[ -z "$(ls mnt)" ]
`)
			if err != nil {
				t.Fatalf("%v: %s%s", err, out, errs)
			}
			equal(t, "output", out, "served nobody\n1\nwritten\nmore\nServeD")
			must(t, holds(s.Served+"/f", []byte("ServeD")))
			must(t, holds(s.Served+"/dir/f", []byte("ServeD")))
			must(t, holds(s.Served+"/dir/moved", []byte("written\nmore\n")))
			noTemporaries(t, s.Served)
		})
	}
	t.Run("without /dev/fuse", func(t *testing.T) {
		t.Parallel()
		s := startServer(t, vsftpd)
		_, out, errs, err := asUser(t, false, "FTPFS_PASSWORD="+ftpPassword+" "+the.binary+" "+s.URL("/")+" mnt")
		if err == nil || !strings.Contains(errs, "chmod a+rw /dev/fuse") {
			t.Errorf("%v: %s%s", err, out, errs)
		}
	})
}
