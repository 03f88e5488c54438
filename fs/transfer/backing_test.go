package transfer_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"ftpfs/fs/transfer"
)

// bound opens the file at p as a program whose writes the kernel does by itself.
func (r *rig) bound(p string) (*transfer.Handle, *os.File) {
	r.Helper()
	h := r.open(p, transfer.How{Write: true})
	file := h.BackingToWrite(r.Context())
	for end := time.Now().Add(20 * time.Second); file == nil; file = h.BackingToWrite(r.Context()) {
		if time.Now().After(end) {
			r.Fatal("the kernel cannot write the copy")
		}
		time.Sleep(time.Millisecond) // the server may have yet to confirm what was read just now
	}
	defer file.Close()
	kernel, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), os.O_RDWR, 0)
	if err != nil {
		r.Fatal(err)
	}
	return h, kernel
}

// RELEASE comes some time after the close: what another program is writing by
// then is its own, and no version before that closes.
func TestReleaseLeavesWhatAnotherIsWriting(t *testing.T) {
	for name, mode := range map[string]transfer.WriteMode{"through": transfer.WriteThrough, "back": transfer.WriteBack} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.remount(8, transfer.Options{Write: mode})
				r.put("f", []byte("the first version"))
				time.Sleep(time.Minute)
				r.reads("/f", []byte("the first version"))
				first, kernel := r.bound("/f")
				r.overwrite(kernel, "THE", 0)
				r.flush(first)
				r.drain()
				kernel.Close()
				second, kernel := r.bound("/f")
				r.overwrite(kernel, "FIRST", 4)
				first.Release()
				r.drain()
				r.has("f", []byte("THE first version"))
				r.overwrite(kernel, "VERSION", 10)
				r.flush(second)
				kernel.Close()
				second.Release()
				r.drain()
				r.has("f", []byte("THE FIRST VERSION"))
			})
		})
	}
}

// So it is with one that empties the file, or writes it through us: a crash in
// the middle must find the version that was closed.
func TestReleaseLeavesWhatAnotherEmpties(t *testing.T) {
	for name, text := range map[string]string{"emptied": "", "written": "half"} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.put("f", []byte("the first version"))
				time.Sleep(time.Minute)
				r.reads("/f", []byte("the first version"))
				first, kernel := r.bound("/f")
				r.overwrite(kernel, "THE", 0)
				r.flush(first)
				kernel.Close()
				r.drain()
				second := r.open("/f", transfer.How{Write: true, Truncate: true})
				if text == "" {
					r.flush(second) // as shells do
				} else {
					r.write(second, 0, []byte(text))
				}
				first.Release()
				r.drain()
				r.has("f", []byte("THE first version"))
				r.write(second, int64(len(text)), []byte("the rest"))
				r.flush(second)
				r.has("f", []byte(text+"the rest"))
				second.Release()
			})
		})
	}
}

// overwrite writes text at off without our seeing it.
func (r *rig) overwrite(kernel *os.File, text string, off int64) {
	r.Helper()
	if _, err := kernel.WriteAt([]byte(text), off); err != nil {
		r.Error(err)
	}
}

// A map outlives its descriptor and ends while the RELEASE of that is still at
// work: the handle ends once, and the file of another one stays.
func TestMapEndsBesideItsRelease(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("the first version"))
	r.reads("/f", []byte("the first version"))
	first, kernel := r.bound("/f")
	second := r.open("/f", transfer.How{Write: true})
	c := first.Copy()
	var released <-chan error
	r.m.Busy(func() {
		released = begin(func() error { first.Release(); return nil })
		for !first.Lingers() {
			runtime.Gosched()
		}
		kernel.Close()
		for c.Exposed() {
			runtime.Gosched()
		}
	})
	<-released
	for text := range strings.FieldsSeq("THE the") { // the first upload ends after all that
		r.write(second, 0, []byte(text))
		if _, ok := r.m.Local("/f"); !ok {
			t.Errorf("%s: nobody knows that the file is written", text)
		}
		r.flush(second)
		r.drain()
		r.has("f", []byte(text+" first version"))
	}
	second.Release()
}
