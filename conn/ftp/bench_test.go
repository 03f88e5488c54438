package ftp

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"ftpfs/conn"
)

// The benchmarks run against a real server, best one behind a link with a
// round-trip time, with the tree that it needs:
//
//	lab.py serve --server pure-ftpd --rtt 20ms
//	go test -c -o ftp.test ./conn/ftp
//	FTPFS_BENCH=ftp://user:password@host nsenter --net=/run/netns/fl-cli ./ftp.test -test.run - -test.bench . -test.benchtime 30x
//
// "trips" is the time in round trips, which the median of NOOPs tells. The Bulk
// ones, for a link without delay (--rtt 0), have curl do the same in turn.

// benchSessions logs n sessions in at the server of $FTPFS_BENCH.
func benchSessions(b *testing.B, n int) []*session {
	b.Helper()
	where := os.Getenv("FTPFS_BENCH")
	if where == "" {
		b.Skip("FTPFS_BENCH names no server")
	}
	cfg, err := conn.ParseURL(where)
	if err != nil {
		b.Fatal(err)
	}
	cfg.TLS.Insecure = true // ftpes:// is for a server of the lab
	dial, sessions := Dialer(cfg), make([]*session, n)
	for i := range sessions {
		s, err := dial(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		sessions[i] = s.(*session)
	}
	return sessions
}

// settled waits until nothing that the last verb has left to do is under way.
func settled(b *testing.B, sessions ...*session) {
	b.Helper()
	for _, s := range sessions {
		for end := time.Now().Add(5 * time.Second); !s.Ready(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				b.Fatal("the session does not become ready: ", s.Err())
			}
		}
	}
}

// trips runs op on an idle session and reports what it costs in round trips.
func trips(b *testing.B, op func(s *session) error) {
	s := benchSessions(b, 1)[0]
	var noops []time.Duration
	for range 11 {
		start := time.Now()
		if err := s.Noop(b.Context()); err != nil {
			b.Fatal(err)
		}
		noops = append(noops, time.Since(start))
	}
	slices.Sort(noops)
	var ops []time.Duration
	for b.Loop() {
		b.StopTimer()
		settled(b, s)
		b.StartTimer()
		start := time.Now()
		if err := op(s); err != nil {
			b.Fatal(err)
		}
		ops = append(ops, time.Since(start))
	}
	slices.Sort(ops)
	b.ReportMetric(float64(ops[len(ops)/2])/float64(noops[len(noops)/2]), "trips")
}

// fetch reads a file whole, to the server's last word about it.
func fetch(s *session, path string) (int64, error) {
	d, err := s.Open(bg, path, 0, conn.Version{})
	if err != nil {
		return 0, err
	}
	defer d.Close()
	return io.Copy(io.Discard, d)
}

func BenchmarkSmallRETR(b *testing.B) {
	trips(b, func(s *session) error { _, err := fetch(s, "/small/f0000.txt"); return err })
}

func BenchmarkRETRAtOffset(b *testing.B) {
	trips(b, func(s *session) error {
		d, err := s.Open(bg, "/small/f0000.txt", 100, conn.Version{})
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = io.ReadAll(d)
		return err
	})
}

func BenchmarkListing(b *testing.B) {
	trips(b, func(s *session) error { _, err := s.List(bg, "/tree/d0/e0"); return err })
}

func BenchmarkSmallSTOR(b *testing.B) {
	trips(b, func(s *session) error {
		_, err := s.upload("STOR", "/bench.tmp", bytes.NewReader([]byte("x")))
		return err
	})
}

func BenchmarkAtomicCommit(b *testing.B) {
	trips(b, func(s *session) error {
		_, err := s.Store(bg, "/bench.tmp", bytes.NewReader([]byte("x")), conn.Commit{Size: 1, Time: someTime, RenameTo: "/bench"})
		return err
	})
}

// over8 has the jobs done by eight sessions, as fast as they can.
func over8(b *testing.B, jobs []func(*session) error) {
	sessions := benchSessions(b, 8)
	for b.Loop() {
		b.StopTimer()
		settled(b, sessions...)
		queue := make(chan func(*session) error, len(jobs))
		for _, j := range jobs {
			queue <- j
		}
		close(queue)
		b.StartTimer()
		var all sync.WaitGroup
		for _, s := range sessions {
			all.Go(func() {
				for j := range queue {
					if err := j(s); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}

func Benchmark300RETR(b *testing.B) {
	var jobs []func(*session) error
	for i := range 300 {
		jobs = append(jobs, func(s *session) error {
			n, err := fetch(s, fmt.Sprintf("/small/f%04d.txt", i))
			if err == nil && n != 4096 {
				err = fmt.Errorf("%d bytes", n)
			}
			return err
		})
	}
	over8(b, jobs)
}

func Benchmark111Listings(b *testing.B) {
	dirs := []string{"/tree"}
	for d := range 10 {
		dirs = append(dirs, fmt.Sprintf("/tree/d%d", d))
		for e := range 10 {
			dirs = append(dirs, fmt.Sprintf("/tree/d%d/e%d", d, e))
		}
	}
	var jobs []func(*session) error
	for _, dir := range dirs {
		jobs = append(jobs, func(s *session) error {
			l, err := s.List(bg, dir)
			if err == nil && len(l.Entries) < 10 {
				err = fmt.Errorf("%s: %d entries", dir, len(l.Entries))
			}
			return err
		})
	}
	over8(b, jobs)
}
