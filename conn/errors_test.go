package conn

import (
	"context"
	"fmt"
	"testing"
)

func TestIsAway(t *testing.T) {
	failed := func(o Outcome, err error) error {
		return fmt.Errorf("x: %w", &Error{Op: "connect", Outcome: o, Err: err})
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{failed(NotExecuted, ErrHostDown), true},
		{failed(NotExecuted, ErrTimeout), true},
		{failed(NotExecuted, ErrTooMany), true},
		{failed(Unknown, ErrHostDown), true},
		{failed(NotExecuted, ErrLogin), false},
		{failed(NotExecuted, ErrNeedTLS), false},
		{failed(NotExecuted, ErrNoTLS), false},
		{failed(NotExecuted, ErrCertificate), false},
		{failed(NotExecuted, ErrResumption), false},
		{failed(Unknown, ErrProtocol), false},
		{failed(Refused, ErrBusy), false},
		{failed(NotExecuted, context.Canceled), false},
	} {
		if got := IsAway(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
