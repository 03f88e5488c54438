package ftp

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ftpfs/conn"
)

// Space implements conn.Session with AVBL
// (draft-peterson-streamlined-ftp-command-extensions-10, 4), where FEAT lists
// it: "213 1234567", in bytes.
func (s *session) Space(ctx context.Context, dir string) (int64, error) {
	end, err := s.begin(ctx, "AVBL", dir)
	if err != nil {
		return 0, err
	}
	defer end()
	if !s.feat.has("AVBL") || s.srv.lacks("AVBL") {
		return 0, unsupported("AVBL", dir)
	}
	r, err := s.ctl.Command("AVBL " + dir)
	if err != nil {
		return 0, at("AVBL", dir, conn.NotExecuted, err)
	}
	if s.srv.lack("AVBL", r) {
		return 0, unsupported("AVBL", dir)
	}
	if err := s.refusal("AVBL", dir, r); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(r.Text()), 10, 64)
	if err != nil || n < 0 {
		return 0, &conn.Error{Op: "AVBL", Path: dir, Code: r.Code, Msg: r.Text(), Outcome: conn.Refused, Err: fmt.Errorf("%w: no number", conn.ErrProtocol)}
	}
	return n, nil
}
