package transfer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// An outage in a rename over a large open file, whichever of its steps it
// meets, takes nothing away: the file is back when the server is, with what was written.
func TestOutageWhileAFileIsPutAside(t *testing.T) {
	for name, verb := range map[string]string{"while it is put aside": "RNTO", "before it is replaced": "RNFR"} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				big := random(6 << 20)
				r.put("f", big)
				r.put("g", []byte("next"))
				h := r.open("/f", transfer.How{Write: true})
				r.write(h, 0, []byte("MINE"))
				times := map[string]int{"RNTO": 1, "RNFR": 2}[verb]
				r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Second).Once())
				r.srv.Fault(ftptest.DelayReply("RNFR", 350, time.Second).OnArg("/g"))
				renamed := begin(func() error { return r.m.Rename(t.Context(), "/g", "/f", false, nil, nil) })
				r.srv.WaitCount(verb, times)
				synctest.Wait()
				back := r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 421, "Service not available"))
				r.srv.DropSessions()
				if err := <-renamed; err == nil {
					t.Error("the rename succeeded")
				}
				back()
				time.Sleep(2 * time.Minute)
				if _, err := r.tree.Lookup(t.Context(), "/f"); err != nil {
					t.Error(err)
				}
				r.write(h, 4, []byte("more"))
				r.flush(h)
				h.Release()
				r.drain()
				r.has("f", append([]byte("MINEmore"), big[8:]...))
				r.names("", "f", "g")
			})
		})
	}
}
