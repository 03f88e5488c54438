package ftp

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// What the verbs cost in round trips, on a network where nothing else takes
// time. A download costs its command, and one more because this server, as
// ProFTPD and vsftpd, waits for our FIN with its 226; after another transfer it
// may have to wait for the next data connection.
func TestRoundTrips(t *testing.T) {
	const rtt = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		srv := ftptest.Start(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt)))
		fill(t, srv, map[string]string{"f": "content", "d/x": "", "e/": ""})
		cfg := configOf(srv)
		dialer := Dialer(cfg)
		first, err := dialer(bg)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		s := first.(*session)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		var many []string
		for i := range 100 {
			many = append(many, fmt.Sprint("/", i))
		}
		for _, tt := range []struct {
			name string
			want int
			do   func()
		}{
			{"the first login", 4, func() { ok(openWith(t, cfg).Err()) }},
			{"the next", 3, func() { // with the connection, before which the server says nothing
				s, err := dialer(bg)
				ok(err)
				ok(s.Close())
			}},
			{"stat", 1, func() { _, err := s.Stat(bg, "/f"); ok(err) }},
			{"stat of a directory", 2, func() { _, err := s.Stat(bg, "/d"); ok(err) }},
			{"stat of 100 files", 1, func() { _, err := s.StatBatch(bg, many); ok(err) }},
			{"times of 100 files", 1, func() { _, err := s.Times(bg, many); ok(err) }},
			{"list", 2, func() { _, err := s.List(bg, "/d"); ok(err) }},
			{"list of an empty directory, after another", 3, func() { _, err := s.List(bg, "/e"); ok(err) }},
			{"mkdir", 1, func() { ok(s.Mkdir(bg, "/new")) }},
			{"rmdir", 1, func() { ok(s.Remove(bg, "/new", conn.KindDir)) }},
			{"chmod", 1, func() { ok(s.Chmod(bg, "/f", 0o600)) }},
			{"settime", 1, func() { ok(s.SetTime(bg, "/f", someTime)) }},
			{"rename", 2, func() { ok(s.Rename(bg, "/f", "/g")) }},
			{"delete", 1, func() { ok(s.Remove(bg, "/g", conn.KindFile)) }},
			{"store", 2, func() { _, err := store(s, "/f", "content", nil); ok(err) }},
			{"store, checked and renamed, after another", 4, func() {
				_, err := store(s, "/tmp", "content", func(c *conn.Commit) {
					c.RenameTo, c.Time, c.Mode, c.SetMode, c.Base = "/g", someTime, 0o600, true, conn.Version{State: conn.Absent}
				})
				ok(err)
			}},
			{"read", 2, func() {
				d, err := s.Open(bg, "/f", 1, conn.Version{})
				ok(err)
				_, err = io.ReadAll(d)
				ok(err)
				ok(d.Close())
			}},
		} {
			start := time.Now()
			tt.do()
			if got := time.Since(start); got != time.Duration(tt.want)*rtt {
				t.Errorf("%s: %.1f round trips, want %d", tt.name, float64(got)/float64(rtt), tt.want)
			}
		}
	})
}
