# Argosy. `make help` explains the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO ?= go
CACHE := /var/cache/argosy-lab

# The lab of `make up` and `make down`; others: make up NAME=big STATE=/mnt/labs
NAME := lab
STATE := /var/lib/argosy-lab
LAB := bin/argosy lab
# What a person types behind a lab's verb, if it is not the usual lab.
WHERE := $(if $(filter-out lab,$(NAME)), --name $(NAME))$(if $(filter-out /var/lib/argosy-lab,$(STATE)), --state $(STATE))

.PHONY: help up down build install test unit check lint fuzz mutants bench docs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

up: ## three nodes on this machine, one cluster, the examples running in it
	@tools/require.sh root go lab
	@echo 'building the program and the root of the nodes, side by side (what is built stays)'
	@tools/beside.sh '$(MAKE) -s build' 'internal/lab/root.sh $(CACHE) >/dev/null'
	@$(LAB) up --nodes 3 --name $(NAME) --state $(STATE)
	@bin/argosy --context $(NAME) start examples/hello/hello.service
	@bin/argosy --context $(NAME) kv put /templates/lb <examples/shop/haproxy.cfg.tmpl
	@bin/argosy --context $(NAME) submit examples/shop/shop@.service
	@cd examples/shop && ../../bin/argosy --context $(NAME) start counter.service lb-config.service lb.service shop@{1..3}
	@echo; bin/argosy --context $(NAME) status; echo; bin/argosy --context $(NAME) list-units; echo; bin/argosy --context $(NAME) services; echo
	@echo 'Try next:'
	@echo '  bin/argosy journal -f hello.service      # its log, wherever it runs'
	@echo '  bin/argosy ssh node-1 -- curl -s http://lb/   # a visit to the shop, by name (examples/shop)'
	@echo '  bin/argosy lab power node-2 off$(or $(WHERE),         ) # pull a plug (node-1 is where you look from)'
	@echo '  bin/argosy list-units -w                 # and watch'

down: ## end the lab and remove everything of it
	@if [ -x bin/argosy ]; then $(LAB) down --name $(NAME) --state $(STATE); else echo 'nothing was built, so there is nothing to end'; fi

build: ## bin/argosy, one static binary
	@tools/require.sh go
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/argosy ./cmd/argosy

install: build ## put argosy, fleetctl and etcdctl on the path
	install -m 0755 bin/argosy /usr/local/bin/argosy
	ln -sf argosy /usr/local/bin/fleetctl
	ln -sf argosy /usr/local/bin/etcdctl

test: ## every test, the ones on real lab nodes included (root)
	@tools/require.sh root go lab
	@$(MAKE) -s build
	$(GO) vet ./...
	ARGOSY_SEEDS=1000 $(GO) test -timeout 20m ./internal/... ./cmd/... ./test/mutants ./test/tools
	$(GO) test -count 1 -parallel 3 -timeout 30m ./test/lab

unit: ## the tests that need neither root nor nodes
	$(GO) test ./internal/... ./cmd/... ./test/mutants ./test/tools

# Not in `make test`: building the linters costs eleven minutes of a core on a
# machine that never did, and the race detector wants a C compiler.
check: lint ## what must hold before a commit: linters, vet, race detector
	$(GO) vet ./...
	$(GO) test -race -shuffle=on ./internal/... ./cmd/... ./test/mutants ./test/tools
	$(GO) run ./test/mutants -check

lint: ## golangci-lint, pinned in tools/go.mod
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

fuzz: ## each fuzz target for 30 seconds
	@tools/fuzz.sh 30s

mutants: ## break each promise on purpose and show the test that goes red
	$(GO) run ./test/mutants

bench: build ## measure on lab nodes and write docs/reference/performance.md
	@tools/require.sh root lab
	$(GO) run ./test/bench -o docs/reference/performance.md

docs: ## write the generated pages of docs/reference
	ARGOSY_UPDATE=1 $(GO) test ./internal/cli ./internal/node ./internal/metrics -run Reference
