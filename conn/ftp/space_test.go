package ftp

import (
	"errors"
	iofs "io/fs"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/conn/wire"
)

func TestSpace(t *testing.T) {
	srv, s := start(t, map[string]string{"d/": ""})
	for range 2 {
		if _, err := s.Space(bg, "/d"); !errors.Is(err, errors.ErrUnsupported) || srv.Count("AVBL")+srv.Count("XQUOTA") != 0 || srv.Count("SITE") != 1 {
			t.Errorf("where it is not offered: %v", err)
		}
	}
	feat := func(f string) ftptest.Fault {
		return ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n"+f+" SIZE\n MDTM\nEnd")
	}
	const mb = 1 << 20
	for _, c := range []struct {
		feat, verb string
		code       int
		text       string
		space      conn.Space
		err        error
	}{
		{" AVBL\n", "AVBL", 213, "1234567", conn.Space{Free: 1234567}, nil},
		{" AVBL\n", "AVBL", 213, "much", conn.Space{}, errors.ErrUnsupported},
		{" AVBL\n", "AVBL", 213, "-1", conn.Space{}, errors.ErrUnsupported},
		{" AVBL\n", "AVBL", 550, "Permission denied", conn.Space{}, iofs.ErrPermission},
		{" AVBL\n", "AVBL", 500, "AVBL not understood", conn.Space{}, errors.ErrUnsupported},
		{" XQUOTA\n", "XQUOTA", 213, "File and disk usage\n File count: 3\n File limit: unlimited\n Disk usage: 5 MB\n Disk limit: 20 MB\nEnd", conn.Space{Free: 15 * mb, Total: 20 * mb}, nil},
		{" SITE QUOTA\n", "SITE", 202, "No quotas in effect", conn.Space{}, errors.ErrUnsupported},
	} {
		undo, undo2 := srv.Fault(feat(c.feat)), srv.Fault(ftptest.Refuse(c.verb, c.code, c.text))
		s := open(t, srv)
		if space, err := s.Space(bg, "/d"); space != c.space || !errors.Is(err, c.err) {
			t.Errorf("%s %d %s: %+v, %v; want %+v, %v", c.verb, c.code, c.text, space, err, c.space, c.err)
		}
		undo()
		undo2()
	}
}

// What WS_FTP Server says, as WinSCP's source quotes it.
const xquota = `File and disk usage
    File count: 3
    File limit: 10000
    Disk usage: 1532791
    Disk limit: 2048000
File and disk usage end`

// What ProFTPD 1.3.8 with mod_quotatab was seen to say.
const siteQuota = `The current quota for this session are [current/limit]:
 Name: tester
 Quota Type: User
 Per Session: False
 Limit Type: Hard
   Uploaded Mb:		5.00/20.00
   Downloaded Mb:	unlimited
   Transferred Mb:	unlimited
   Uploaded files:	unlimited
   Downloaded files:	unlimited
   Transferred files:	1/10
Please contact root@127.0.0.1 if these entries are inaccurate`

func TestParseQuota(t *testing.T) {
	const kb, mb, gb = 1 << 10, 1 << 20, 1 << 30
	for _, c := range []struct {
		parse func(wire.Reply) (conn.Space, bool)
		text  string
		want  conn.Space
		ok    bool
	}{
		{parseSiteQuota, siteQuota, conn.Space{Free: 15 * mb, Total: 20 * mb}, true},
		{parseSiteQuota, "Uploaded bytes:\t 100/1000", conn.Space{Free: 900, Total: 1000}, true},
		{parseSiteQuota, "Uploaded Kb:\t1.50/2.00\nTransferred Gb:\t0.00/1.00", conn.Space{Free: kb / 2, Total: 2 * kb}, true},
		{parseSiteQuota, "Uploaded Mb:\t30.00/20.00", conn.Space{Total: 20 * mb}, true},
		{parseSiteQuota, "Uploaded Mb:\tunlimited", conn.Space{}, false},
		{parseSiteQuota, "Uploaded Mb:\tx/20.00", conn.Space{}, false},
		{parseSiteQuota, "Uploaded Mb:\t1e400/1e400", conn.Space{}, false},
		{parseSiteQuota, "Uploaded Mb:\t-1/-5", conn.Space{}, false},
		{parseSiteQuota, "No quotas in effect", conn.Space{}, false},
		{parseXQUOTA, xquota, conn.Space{Free: 2048000 - 1532791, Total: 2048000}, true},
		{parseXQUOTA, "Disk usage: 1,024\nDisk limit: 1 KB", conn.Space{Total: kb}, true},
		{parseXQUOTA, "Disk usage: 0\nDisk limit: 2 GiB", conn.Space{Free: 2 * gb, Total: 2 * gb}, true},
		{parseXQUOTA, "Disk usage: 5 MB\nDisk limit: unlimited", conn.Space{}, false},
		{parseXQUOTA, "Disk usage: 5 apples\nDisk limit: 6 apples", conn.Space{}, false},
	} {
		got, ok := c.parse(wire.Reply{Code: 200, Lines: strings.Split(c.text, "\n")})
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v, %v; want %+v, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}
