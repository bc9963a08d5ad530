//go:build unix

package mintonce_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// targetOfReader makes this test's program the reader that the test stops.
const targetOfReader = "TEST_TARGET_OF_READER"

func TestAStoppedProcessServesNothingExpired(t *testing.T) {
	if target := os.Getenv(targetOfReader); target != "" {
		readPastTheEnd(t, target)
		return
	}
	const life = time.Second
	server := scripted.New(t)
	server.Lives(life, life)
	server.Publish()

	reader := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	reader.Env = append(os.Environ(), targetOfReader+"="+server.Target(), "GOMAXPROCS=1")
	output, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	if !lines.Scan() || lines.Text() != "reading" {
		t.Fatalf("the reader said %q", lines.Text())
	}
	release := server.Hold(scripted.Get) // no successor comes
	defer release()
	if err := reader.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(life + 200*time.Millisecond) // the token's end comes while it is stopped
	if err := reader.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := reader.Wait(); err != nil {
		t.Errorf("%v: %s", err, strings.Join(said, "\n"))
	}
}

// readPastTheEnd reads without a pause until the token is over.
func readPastTheEnd(t *testing.T, target string) {
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(target))
	if err != nil {
		t.Fatal(err)
	}
	first, err := source.Peek()
	if err != nil {
		t.Fatal(err)
	}
	remaining := first.ExpiresIn()
	end := time.Now().Add(remaining) // by a moment late
	fmt.Println("reading")
	for late := 0; ; {
		before := time.Now()
		_, err := source.Peek()
		switch {
		case errors.Is(err, mintonce.ErrExpired):
			if late > 0 {
				t.Fatalf("an expired token was served %d times, last at %s after its end", late, time.Since(end))
			}
			return
		case err != nil:
			t.Fatal(err)
		case before.After(end):
			late++
		}
	}
}
