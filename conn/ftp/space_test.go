package ftp

import (
	"errors"
	iofs "io/fs"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

func TestSpace(t *testing.T) {
	srv, s := start(t, map[string]string{"d/": ""})
	if _, err := s.Space(bg, "/d"); !errors.Is(err, errors.ErrUnsupported) || srv.Count("AVBL") != 0 {
		t.Errorf("where it is not offered: %v", err)
	}
	defer srv.Fault(ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n AVBL\n SIZE\n MDTM\nEnd"))()
	for _, c := range []struct {
		code int
		text string
		n    int64
		err  error
	}{
		{213, "1234567", 1234567, nil},
		{213, "much", 0, conn.ErrProtocol},
		{213, "-1", 0, conn.ErrProtocol},
		{550, "Permission denied", 0, iofs.ErrPermission},
		{500, "AVBL not understood", 0, errors.ErrUnsupported},
	} {
		undo := srv.Fault(ftptest.Refuse("AVBL", c.code, c.text))
		s := open(t, srv)
		if n, err := s.Space(bg, "/d"); n != c.n || !errors.Is(err, c.err) {
			t.Errorf("%d %s: %d, %v; want %d, %v", c.code, c.text, n, err, c.n, c.err)
		}
		undo()
	}
}
