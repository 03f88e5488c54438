package tree_test

import (
	"context"
	"testing"
)

// Who is interrupted as it begins to wait for a listing leaves it to itself:
// nothing of it is looked at any more. The race detector judges.
func TestListingIsGivenUpAsItBegins(t *testing.T) {
	_, tr := start(t, "d/a")
	for range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := tr.List(ctx, "/d"); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		if _, err := tr.Lookup(ctx, "/d/a"); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
		tr.ForgetAll()
	}
}
