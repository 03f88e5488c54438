package transfer_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"ftpfs/fs/transfer"
)

// A close while the file gets another name: what it wrote reaches the server
// under that, and the journal knows of it all the time.
func TestCloseDuringARename(t *testing.T) {
	r := newRig(t)
	r.save("/f0", []byte("0"))
	h := r.open("/f0", transfer.How{Write: true})
	for i := range 30 {
		from, to := fmt.Sprint("/f", i), fmt.Sprint("/f", i+1)
		r.srv.ResetLog()
		renamed := begin(func() error { return r.m.Rename(t.Context(), from, to, false, nil, nil) })
		for r.srv.Count("RNTO") == 0 {
			runtime.Gosched()
		}
		text := fmt.Appendf(nil, "version %d", i)
		r.write(h, 0, text)
		if err := errors.Join(h.Sync(t.Context()), <-renamed); err != nil {
			t.Fatal(err)
		}
		r.has(to[1:], text)
		r.drain()
	}
	h.Release()
}
