package transfer_test

import (
	"testing"
	"time"

	"ftpfs/fs/transfer"
)

// The time that we set ourselves is not somebody else's change.
func TestTimeSetWhileAFileIsRead(t *testing.T) {
	virtual(t, func(r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		h := r.open("/f", transfer.How{})
		defer h.Release()
		if err := r.m.SetTime(t.Context(), "/f", time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		r.handleReads(h, want)
	})
}
