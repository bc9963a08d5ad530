package mintonce

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilesAreLookedAtOnceASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clock := time.Duration(0)
	loads := 0
	var log strings.Builder
	write("one")
	w, err := watch(slog.New(slog.NewTextHandler(&log, nil)), "", func() time.Duration { return clock }, []string{path},
		func(contents [][]byte) (string, error) {
			loads++
			if text := string(contents[0]); !strings.HasPrefix(text, "broken") {
				return text, nil
			}
			return "", fileFault("it is " + string(contents[0]))
		})
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string, wantLoads, wantWarnings int) {
		t.Helper()
		if got := w.current(); got != want || loads != wantLoads || strings.Count(log.String(), "WARN") != wantWarnings {
			t.Errorf("got %s after %d loads, with the log\n%s", got, loads, log.String())
		}
	}
	write("two")
	clock += lookEvery - 1
	look("one", 1, 0)
	clock++
	look("two", 2, 0)
	clock += lookEvery
	look("two", 2, 0) // the same content is not loaded again
	write("broken")
	for range 3 {
		clock += lookEvery
		look("two", loads+1, 1) // one warning for one fault
	}
	write("broken otherwise")
	clock += lookEvery
	look("two", loads+1, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	clock += lookEvery
	look("two", loads, 3)
	write("three")
	clock += lookEvery
	look("three", loads+1, 3)
	write("broken otherwise")
	clock += lookEvery
	look("three", loads+1, 4) // it was mended in between
}
