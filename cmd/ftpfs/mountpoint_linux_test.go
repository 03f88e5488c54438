package main

import (
	"errors"
	"strings"
	"testing"
)

const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/a rw,nosuid,nodev,relatime shared:9 - fuse.ftpfs ftp://me@h/ rw,user_id=1000,group_id=1000
31 22 0:41 / /mnt/with\040blank\134 rw,nosuid - fuse.ftpfs ftp://h/ rw,user_id=0,group_id=0
32 22 0:42 / /mnt/b rw - fuse.ftpfs ftp://h/ rw,user_id=0
33 32 0:43 / /mnt/b rw - tmpfs tmpfs rw,size=4k
broken line
`

func TestFindMount(t *testing.T) {
	for _, c := range []struct {
		dir  string
		ours bool
		uid  int
		none bool
	}{
		{dir: "/mnt/a", ours: true, uid: 1000},
		{dir: `/mnt/with blank\`, ours: true, uid: 0},
		{dir: "/mnt/b", ours: false, uid: -1}, // the topmost counts
		{dir: "/mnt", none: true},
	} {
		m, err := findMount(strings.NewReader(mountinfo), c.dir)
		if err != nil || (m == nil) != c.none {
			t.Errorf("%s: %+v, %v", c.dir, m, err)
			continue
		}
		if m != nil && (m.isOurs() != c.ours || m.uid != c.uid || m.dir != c.dir) {
			t.Errorf("%s: %+v, ours %v", c.dir, m, m.isOurs())
		}
	}
}

func TestCheckFree(t *testing.T) {
	detach := func(dead bool, err error) func(string) (bool, error) {
		return func(string) (bool, error) { return dead, err }
	}
	// /proc is mounted wherever these tests run, and is not ours.
	if err := checkFree("/proc", detach(false, errors.New("must not be asked"))); err == nil || !strings.Contains(err.Error(), "something is mounted") {
		t.Errorf("/proc: %v", err)
	}
	if err := checkFree(t.TempDir(), detach(false, errors.New("must not be asked"))); err != nil {
		t.Errorf("a plain folder: %v", err)
	}
}
