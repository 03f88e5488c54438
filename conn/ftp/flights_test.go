package ftp

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

const flightRTT = 20 * time.Millisecond

// onFlights runs test with a session on a network that counts flights, on a
// server that lingers at the end of a download (ProFTPD, vsftpd) and on one
// that does not.
func onFlights(t *testing.T, test func(t *testing.T, lingers bool, n *ftptest.Network, s *session)) {
	for name, opts := range map[string][]ftptest.Option{"lingering": nil, "abrupt": {ftptest.WithoutLinger()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := ftptest.NewNetwork(flightRTT)
				srv := ftptest.Start(t, append(opts, ftptest.WithNetwork(n))...)
				fill(t, srv, map[string]string{"f": "content", "g": "content", "d/x": "content", "e/y": ""})
				s := openWith(t, configOf(srv))
				time.Sleep(time.Second) // it is idle
				test(t, opts == nil, n, s)
			})
		})
	}
}

// fetchTo reads the content of /f from offset; done is called when all its
// bytes are there, before the server's last word.
func fetchTo(t *testing.T, s *session, offset int64, done func()) {
	t.Helper()
	d, err := s.Open(bg, "/f", offset, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(d, make([]byte, len("content")-int(offset))); err != nil {
		t.Error(err)
	}
	done()
	if _, err := io.ReadAll(d); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Exactly how often the client has to wait in a verb, all that it sends
// counted, the connections' SYN and FIN too: on an idle session, where what a
// transfer leaves to do is done afterwards, and back to back.
func TestFlights(t *testing.T) {
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	commit := func(s *session, f func(*conn.Commit)) error {
		_, err := store(s, "/tmp", "content", f)
		return err
	}
	atomic := func(c *conn.Commit) {
		c.RenameTo, c.Time, c.Mode, c.SetMode, c.Base = "/new", someTime, 0o600, true, conn.Version{State: conn.Absent}
	}
	onFlights(t, func(t *testing.T, lingers bool, n *ftptest.Network, s *session) {
		listing := 1 // until the server's last word, without which a listing is none
		if lingers {
			listing = 2 // it waits for our FIN
		}
		size := int64(len("content")) // of /up
		for _, tt := range []struct {
			name            string
			idle, saturated int
			do              func(done func())
		}{
			{"RETR", 1, 3, func(done func()) { fetchTo(t, s, 0, done) }},
			{"REST and RETR", 1, 3, func(done func()) { fetchTo(t, s, 3, done) }},
			{"listing", listing, 3, func(func()) { _, err := s.List(bg, "/d"); ok(t, err) }},
			{"STOR", 1, 3, func(func()) { _, err := s.upload("STOR", "/up", strings.NewReader("content")); ok(t, err) }},
			{"STOR with the size check", 2, 3, func(func()) { ok(t, commit(s, nil)) }},
			{"append", 3, 3, func(func()) {
				size++
				_, err := s.Append(bg, "/up", size-1, strings.NewReader("x"), conn.Commit{Size: size})
				ok(t, err)
			}},
			{"atomic commit", 3, 3, func(func()) { ok(t, commit(s, atomic)); ok(t, s.do("DELE", "/new", "DELE /new")) }},
			{"size and time", 1, 1, func(func()) { _, err := s.Stat(bg, "/f"); ok(t, err) }},
			{"size and time of many", 1, 1, func(func()) { _, err := s.StatBatch(bg, []string{"/f", "/g", "/d/x"}); ok(t, err) }},
			{"SITE CHMOD", 1, 1, func(func()) { ok(t, s.Chmod(bg, "/f", 0o600)) }},
			{"MFMT", 1, 1, func(func()) { ok(t, s.SetTime(bg, "/f", someTime)) }},
			{"MKD", 1, 0, func(func()) { ok(t, s.Mkdir(bg, "/new")) }},
			{"RMD", 1, 0, func(func()) { ok(t, s.Remove(bg, "/new", conn.KindDir)) }},
			{"rename", 2, 0, func(func()) { ok(t, s.Rename(bg, "/g", "/h")) }},
			{"DELE", 1, 0, func(func()) { ok(t, s.Remove(bg, "/h", conn.KindFile)) }},
		} {
			var end time.Time
			run := func() (flights int) {
				start := time.Now()
				end = time.Time{}
				tt.do(func() { end = time.Now() })
				if end.IsZero() {
					end = time.Now()
				}
				return len(n.Flights(start, end))
			}
			after := 0 // what the row does besides
			if tt.name == "atomic commit" {
				after = 1
			}
			if got := run(); got != tt.idle+after {
				t.Errorf("%s on an idle session: %d flights, want %d", tt.name, got, tt.idle+after)
			}
			time.Sleep(time.Second)
			if tt.saturated == 0 {
				continue
			}
			const times = 10
			start := time.Now()
			for range times {
				run()
			}
			if got, want := len(n.Flights(start, end)), tt.idle+after+(times-1)*(tt.saturated+after); got != want {
				t.Errorf("%s back to back: %d flights for %d, want %d", tt.name, got, times, want)
			}
			time.Sleep(time.Second)
		}
	})
}

// A login takes one packet where the server is known to take that.
func TestLoginFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ftptest.NewNetwork(flightRTT)
		srv := ftptest.Start(t, ftptest.WithNetwork(n))
		dial := Dialer(configOf(srv))
		for i, want := range []int{3, 2} { // SYN, USER and all, for the first session OPTS with the features that it has
			start := time.Now()
			s, err := dial(bg)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Flights(start, time.Now()); len(got) != want {
				t.Errorf("session %d: %d flights, want %d", i+1, len(got), want)
			}
			time.Sleep(time.Second)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// What is in a directory is known a round trip before the server's last word,
// which on some servers waits for the end of the data connection.
func TestListingIsKnownWhenItWasSent(t *testing.T) {
	onFlights(t, func(t *testing.T, lingers bool, _ *ftptest.Network, s *session) {
		began, sent := time.Now(), time.Duration(0)
		var got []conn.Entry
		l, err := s.ListEarly(bg, "/d", conn.Coming{Sent: func(all []conn.Entry) { got, sent = slices.Clone(all), time.Since(began) }})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Name != "x" || l.Len() != 1 {
			t.Errorf("sent %v, listed %v", got, l.Entries)
		}
		all := flightRTT
		if lingers {
			all = 2 * flightRTT
		}
		if took := time.Since(began); sent != flightRTT || took != all {
			t.Errorf("known after %v, the listing after %v", sent, took)
		}
		if _, err := s.ListEarly(bg, "/nowhere", conn.Coming{Sent: func([]conn.Entry) { t.Error("what is not there was sent") }}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not there: %v", err)
		}
	})
}
