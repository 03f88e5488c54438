package transfer_test

import (
	"bytes"
	"testing"

	"ftpfs/fs/transfer"
)

// settled fails if there is anything of /f that the server has not.
func (r *rig) settled(p string) {
	r.Helper()
	if a, dirty := r.m.Local(p); dirty {
		r.Errorf("%s is not uploaded: %+v", p, a)
	}
	if pending := r.m.Status().Pending; len(pending) != 0 {
		r.Errorf("pending: %v", pending)
	}
}

// It changes the time, if nothing else.
func TestTruncateToTheSameSizeIsUploaded(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		before := r.stat("f").ModTime()
		h := r.open("/f", transfer.How{Write: true})
		if err := h.Truncate(int64(len(want))); err != nil {
			t.Fatal(err)
		}
		r.flush(h)
		h.Release()
		r.drain()
		r.settled("/f")
		r.has("f", want)
		if after := r.stat("f").ModTime(); !after.After(before) {
			t.Errorf("the time is %v, it was %v", after, before)
		}
		theirs := append(bytes.Clone(want), "more"...)
		r.put("f", theirs)
		r.reads("/f", theirs)
	})
}

func TestReadOnlyOpenThatTruncatesIsUploaded(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("content"))
		h := r.open("/f", transfer.How{Truncate: true})
		r.flush(h)
		h.Release()
		r.drain()
		r.settled("/f")
		r.has("f", []byte{})
	})
}
