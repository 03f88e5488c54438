package ftp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
)

// bulk has ours move size bytes in turn with curl, which gets the arguments,
// and reports how fast that was, and the ratio of the medians. Before each of
// them ready runs, off the clock.
func bulk(b *testing.B, size int64, ready, ours func() error, curl ...string) {
	var us, them []float64 // MB/s
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		if err := ready(); err != nil {
			b.Fatal(err)
		}
		took, err := curlTime(b, curl)
		if err != nil {
			b.Fatal(err)
		}
		if err := ready(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		start := time.Now()
		if err := ours(); err != nil {
			b.Fatal(err)
		}
		us = append(us, float64(size)/1e6/time.Since(start).Seconds())
		them = append(them, float64(size)/1e6/took.Seconds())
	}
	slices.Sort(us)
	slices.Sort(them)
	b.ReportMetric(them[len(them)/2], "curl-MB/s")
	b.ReportMetric(us[len(us)/2]/them[len(them)/2], "of-curl")
}

// curlTime runs curl on a path of $FTPFS_BENCH, which is the last argument, and
// returns how long the transfer took by itself: without the login, and from the
// server's 150 on.
func curlTime(b *testing.B, args []string) (time.Duration, error) {
	where := strings.TrimSuffix(os.Getenv("FTPFS_BENCH"), "/")
	fixed := []string{"-sS", "-k", "-w", "%{time_pretransfer} %{time_total}"}
	if rest, secret := strings.CutPrefix(where, "ftpes:"); secret {
		where, fixed = "ftp:"+rest, append(fixed, "--ssl-reqd")
	}
	last := len(args) - 1
	cmd := exec.CommandContext(b.Context(), "curl", append(append(fixed, args[:last]...), where+args[last])...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	var began, ended float64
	if _, err := fmt.Sscan(string(out), &began, &ended); err != nil {
		return 0, err
	}
	return time.Duration((ended - began) * float64(time.Second)), nil
}

func BenchmarkBulkRETR(b *testing.B) {
	s := benchSessions(b, 1)[0]
	e, err := s.Stat(bg, "/big.bin")
	if err != nil {
		b.Fatal(err)
	}
	ready := func() error {
		settled(b, s)
		return nil
	}
	bulk(b, e.Size, ready, func() error {
		d, err := s.Open(bg, "/big.bin", 0, conn.Version{})
		if err != nil {
			return err
		}
		defer d.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{d}, make([]byte, 256<<10)) // as transfer reads
		if err == nil && n != e.Size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}, "-o", "/dev/null", "/big.bin")
}

func BenchmarkBulkSTOR(b *testing.B) {
	const size = 512 << 20
	s := benchSessions(b, 1)[0]
	local := filepath.Join(b.TempDir(), "bulk")
	if err := os.WriteFile(local, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(local, size); err != nil {
		b.Fatal(err)
	}
	// A server empties a file that is there before it says 150, which takes it
	// a fifth of the time of the upload and is not on curl's clock.
	ready := func() error {
		err := s.Remove(bg, "/bench.big", conn.KindFile)
		settled(b, s)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	bulk(b, size, ready, func() error {
		f, err := os.Open(local)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = s.upload("STOR", "/bench.big", f)
		return err
	}, "-T", local, "/bench.big")
	if err := ready(); err != nil {
		b.Error(err)
	}
}
