package transfer_test

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"ftpfs/fs/transfer"
)

// A local disk that is full keeps nobody from reading, in a row or not.
func TestFullDiskBreaksNoRead(t *testing.T) {
	for _, block := range []int{4 << 10, 1 << 20} {
		t.Run(fmt.Sprint(block), func(t *testing.T) {
			r := newRig(t)
			r.fullDisk()
			want := random(24 << 20)
			r.put("f", want)
			h := r.open("/f", transfer.How{})
			defer h.Release()
			got, err := readAll(t.Context(), h, block)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("in a row: %d bytes of %d, %v", len(got), len(want), err)
			}
			buf := make([]byte, 5000)
			for _, off := range []int{20 << 20, 3, 11 << 20, len(want) - 5000} {
				if n, err := h.ReadAt(t.Context(), buf, int64(off)); err != nil || !bytes.Equal(buf[:n], want[off:off+n]) || n != len(buf) {
					t.Errorf("at %d: %d bytes, %v", off, n, err)
				}
			}
		})
	}
}

// There is no room for a version of its own for who reads the file without us:
// the close succeeds all the same.
func TestFullDiskBesideWhoReadsTheCopy(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.fullDisk()
		want := random(1300 << 10)
		r.put("f", want)
		time.Sleep(time.Minute)
		r.reads("/f", want)
		settle()
		reader := r.open("/f", transfer.How{})
		defer reader.Release()
		file := reader.Backing()
		if file == nil {
			t.Fatal("the kernel cannot read the copy")
		}
		defer file.Close()
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 0, []byte("new"))
		r.flush(h)
		h.Release()
		copy(want, "new")
		r.has("f", want)
	})
}

// fullDisk mounts again with a cache on a disk that has hardly any room.
func (r *rig) fullDisk() {
	r.Helper()
	r.unmount()
	if err := syscall.Mount("tmpfs", r.dir, "tmpfs", 0, "size=2m"); err != nil {
		r.Skip("no small disk: ", err)
	}
	dir := r.dir
	r.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	r.mount(8)
}
