package transfer_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ftpfs/fs/transfer"
)

// A file that is far larger than the cache and the memory that a mount may take
// is read in a row: what is held does not grow with it, and nothing is left.
func TestStreamingTakesLittleMemory(t *testing.T) {
	const size, most = 512 << 20, 48 << 20
	r := newRig(t)
	r.cacheSize = 64 << 20
	r.remount(8, transfer.Options{})
	r.zeros("large", size)
	r.readAt("/large", 0)
	before := r.openFiles()
	h := r.open("/large", transfer.How{})
	buf := make([]byte, 1<<20)
	var peak uint64
	var m runtime.MemStats
	for off := int64(0); off < size; off += int64(len(buf)) {
		if n, err := h.ReadAt(r.Context(), buf, off); n != len(buf) || err != nil {
			t.Fatal(off, n, err)
		}
		if off%(16<<20) == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse+m.StackInuse)
		}
	}
	h.Release()
	t.Logf("at most %d MiB in use", peak>>20)
	if peak > most {
		t.Errorf("%d MiB were in use", peak>>20)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		now := r.openFiles()
		if now <= before {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d files of the cache are open after the file was closed, %d before it was opened", now, before)
		}
	}
}

// openFiles counts the descriptors of files in the cache.
func (r *rig) openFiles() (n int) {
	const dir = "/proc/self/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		r.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasPrefix(to, r.dir+"/") {
			n++
		}
	}
	return n
}
