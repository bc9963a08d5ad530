// Command zip FOLDER FILE VERSION writes the client's module, of which FOLDER is a clean copy, as a module proxy serves it.
package main

import (
	"archive/zip"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

const path = "github.com/mintonce/mintonce/client/go"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: zip FOLDER FILE VERSION")
	}
	folder, name, version := os.Args[1], os.Args[2], os.Args[3]
	file, err := os.Create(name)
	if err != nil {
		log.Fatal(err)
	}
	if err := modzip.CreateFromDir(file, module.Version{Path: path, Version: version}, folder); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
	archive, err := zip.OpenReader(name)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	fmt.Printf("%s: %d files\n", name, len(archive.File))
}
