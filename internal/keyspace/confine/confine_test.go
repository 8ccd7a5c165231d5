package confine_test

import (
	"bytes"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"pgregory.net/rapid"

	"argosy/internal/keyspace"
	"argosy/internal/keyspace/confine"
)

const prefix = confine.Prefix("/apps/")

// outside are keys of others, as near to the prefix as can be.
func outside() []string {
	return []string{"", "\x00", "/", "/a", "/apps", "/apps.", "/apps0", "/apps\x00", "/apps\xff", "/argosy/leader", "\xff", "\xff\xff", "0"}
}

// holds reports whether a range of etcd's, as it is sent, has a key.
func holds(key, end []byte, k string) bool {
	switch {
	case len(end) == 0:
		return string(key) == k
	case len(end) == 1 && end[0] == 0:
		return k >= string(key)
	}
	return k >= string(key) && k < string(end)
}

// drawBytes draws what may be in a key, mostly what means something at the edges.
func drawBytes() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "edge") {
			return []byte(rapid.SampledFrom(append(outside(), "/apps/", "/apps/a", "a", "\x00\x00", "../argosy/leader")).Draw(t, "bytes"))
		}
		return rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "bytes")
	})
}

func drawTxn(depth int) *rapid.Generator[*pb.TxnRequest] {
	return rapid.Custom(func(t *rapid.T) *pb.TxnRequest {
		r := &pb.TxnRequest{}
		for range rapid.IntRange(0, 2).Draw(t, "compares") {
			r.Compare = append(r.Compare, &pb.Compare{Key: drawBytes().Draw(t, "key"), RangeEnd: drawBytes().Draw(t, "end")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "success") {
			r.Success = append(r.Success, drawOp(depth).Draw(t, "op"))
		}
		for range rapid.IntRange(0, 2).Draw(t, "failure") {
			r.Failure = append(r.Failure, drawOp(depth).Draw(t, "op"))
		}
		return r
	})
}

func drawOp(depth int) *rapid.Generator[*pb.RequestOp] {
	return rapid.Custom(func(t *rapid.T) *pb.RequestOp {
		key, end := drawBytes().Draw(t, "key"), drawBytes().Draw(t, "end")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key, RangeEnd: end}}}
		case 1:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: end}}}
		case 2:
			return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end}}}
		case 3:
			if depth > 0 {
				return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: drawTxn(depth-1).Draw(t, "nested")}}
			}
		}
		return &pb.RequestOp{}
	})
}

// spans returns every key and range that a transaction names.
func spans(r *pb.TxnRequest) (list [][2][]byte) {
	for _, c := range r.Compare {
		list = append(list, [2][]byte{c.Key, c.RangeEnd})
	}
	for _, op := range append(append([]*pb.RequestOp{}, r.Success...), r.Failure...) {
		switch {
		case op.GetRequestRange() != nil:
			list = append(list, [2][]byte{op.GetRequestRange().Key, op.GetRequestRange().RangeEnd})
		case op.GetRequestPut() != nil:
			list = append(list, [2][]byte{op.GetRequestPut().Key, nil})
		case op.GetRequestDeleteRange() != nil:
			list = append(list, [2][]byte{op.GetRequestDeleteRange().Key, op.GetRequestDeleteRange().RangeEnd})
		case op.GetRequestTxn() != nil:
			list = append(list, spans(op.GetRequestTxn())...)
		}
	}
	return list
}

// Whatever a request names, confined it names no key outside, and the very keys inside
// that it named.
func TestNoRequestReachesOutside(t *testing.T) {
	inside := []string{"\x00", "a", "/apps/", "ab", "b", "\xff", "\xff\xff", "z"}
	rapid.Check(t, func(t *rapid.T) {
		txn := drawTxn(2).Draw(t, "txn")
		asked := proto.Clone(txn).(*pb.TxnRequest)
		if prefix.Txn(txn) != nil {
			return // refused
		}
		before, after := spans(asked), spans(txn)
		for i, span := range after {
			for _, k := range outside() {
				if holds(span[0], span[1], k) {
					t.Fatalf("%q reaches %q as %q", before[i], k, span)
				}
			}
			for _, k := range inside {
				if holds(before[i][0], before[i][1], k) != holds(span[0], span[1], string(prefix)+k) {
					t.Fatalf("%q and %q do not mean the same of %q", before[i], span, k)
				}
			}
		}
	})
}

func TestNoWatchReachesOutside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, end := drawBytes().Draw(t, "key"), drawBytes().Draw(t, "end")
		r := &pb.WatchCreateRequest{Key: bytes.Clone(key), RangeEnd: bytes.Clone(end)}
		prefix.Watch(r)
		for _, k := range outside() {
			if holds(r.Key, r.RangeEnd, k) {
				t.Fatalf("a watch of %q to %q reaches %q", key, end, k)
			}
		}
		if len(key) == 0 && len(end) == 1 && end[0] == 0 && !holds(r.Key, r.RangeEnd, string(prefix)+"a") {
			t.Fatal("a watch of everything does not have what is inside")
		}
	})
}

func TestWhatHasNoKeyIsRefused(t *testing.T) {
	for name, err := range map[string]error{
		"range": prefix.Range(&pb.RangeRequest{RangeEnd: []byte{0}}), "put": prefix.Put(&pb.PutRequest{}), "delete": prefix.Delete(&pb.DeleteRangeRequest{RangeEnd: []byte{0}}),
		"compare": prefix.Txn(&pb.TxnRequest{Compare: []*pb.Compare{{}}}), "no operation": prefix.Txn(&pb.TxnRequest{Success: []*pb.RequestOp{{}}}),
		"nothing": prefix.Txn(&pb.TxnRequest{Failure: []*pb.RequestOp{nil}}),
	} {
		if err == nil {
			t.Errorf("%s without a key goes through", name)
		}
	}
}

// An answer that names what is outside, by whatever mistake, does not get through.
func TestNoAnswerTellsOfOutside(t *testing.T) {
	in, out := &mvccpb.KeyValue{Key: []byte("/apps/a")}, &mvccpb.KeyValue{Key: []byte("/argosy/leader")}
	kv := func(item *mvccpb.KeyValue) *mvccpb.KeyValue { return proto.Clone(item).(*mvccpb.KeyValue) }
	items := prefix.Items([]*mvccpb.KeyValue{kv(out), kv(in), nil, kv(out)})
	events := prefix.Events([]*mvccpb.Event{{Kv: kv(out)}, {Kv: kv(in), PrevKv: kv(in)}, {Kv: kv(in), PrevKv: kv(out)}})
	keys := prefix.Keys([][]byte{[]byte("/argosy/leader"), []byte("/apps/a"), nil})
	if len(items) != 1 || string(items[0].Key) != "a" || len(keys) != 1 || string(keys[0]) != "a" {
		t.Errorf("items %v, keys %q", items, keys)
	}
	if len(events) != 2 || string(events[0].PrevKv.Key) != "a" || events[1].PrevKv != nil {
		t.Errorf("events %v", events)
	}
	nested := &pb.TxnResponse{Responses: []*pb.ResponseOp{
		{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: &pb.TxnResponse{Responses: []*pb.ResponseOp{
			{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv(out), kv(in)}}}},
			{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{PrevKv: kv(out)}}},
			{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{PrevKvs: []*mvccpb.KeyValue{kv(out)}}}},
		}}}},
	}}
	prefix.TxnAnswer(nested)
	if text := nested.String(); bytes.Contains([]byte(text), []byte("leader")) || !bytes.Contains([]byte(text), []byte(`key:"a"`)) {
		t.Errorf("an answer is %s", text)
	}
}

// What a transaction costs counts all that is nested in it.
func TestCosts(t *testing.T) {
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("ab"), Value: []byte("cde")}}}
	list := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b")}}}
	inner := &pb.TxnRequest{Success: []*pb.RequestOp{put, list}, Failure: []*pb.RequestOp{put}}
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("a")}, {Key: []byte("a"), RangeEnd: []byte("b")}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}}},
	}
	if got, want := confine.CostOfTxn(r), (confine.Cost{Bytes: 13, Puts: 2, Ops: 6, Ranges: 2}); got != want {
		t.Errorf("cost %+v, want %+v", got, want)
	}
	for _, tt := range []struct {
		cost confine.Cost
		ok   bool
	}{
		{confine.Cost{Ops: keyspace.OpsMax, Bytes: keyspace.RequestBytesMax, Ranges: keyspace.RangesMax}, true},
		{confine.Cost{Ops: keyspace.OpsMax + 1}, false},
		{confine.Cost{Bytes: keyspace.RequestBytesMax + 1}, false},
		{confine.Cost{Ranges: keyspace.RangesMax + 1}, false},
	} {
		if err := tt.cost.Check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.cost, err)
		}
	}
}
