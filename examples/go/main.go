// A first approval: starts a verification, reads its code from the development outbox, checks the code.
//
// Needs protoc and its two plug-ins for Go, and a development server (cargo run --release):
//
//	go install google.golang.org/protobuf/cmd/protoc-gen-go@latest
//	go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@latest
//	cd examples/go && go generate && go mod tidy && go run .
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "first_approval/countersignv1"
)

//go:generate protoc -I ../../proto --go_out=. --go-grpc_out=. --go_opt=module=first_approval --go-grpc_opt=module=first_approval --go_opt=Mcountersign/v1/verification.proto=first_approval/countersignv1 --go_opt=Mcountersign/v1/verification_service.proto=first_approval/countersignv1 --go-grpc_opt=Mcountersign/v1/verification.proto=first_approval/countersignv1 --go-grpc_opt=Mcountersign/v1/verification_service.proto=first_approval/countersignv1 countersign/v1/verification.proto countersign/v1/verification_service.proto

func main() {
	if err := approve(); err != nil {
		log.Fatal(err)
	}
}

func approve() error {
	key, err := apiKey()
	if err != nil {
		return err
	}
	address := setting("COUNTERSIGN_GRPC", "127.0.0.1:50051")
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := pb.NewVerificationServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)

	run := unique() // a subject, an address and ids of its own for each run
	started, err := client.StartVerification(ctx, &pb.StartVerificationRequest{
		Subject:   "customer-" + run,
		Action:    "payment",
		RequestId: "start-" + run,
		Binding:   map[string]string{"amount": "100.00 EUR", "payee": "ACME"},
		Recipients: []*pb.Recipient{
			{Channel: pb.Channel_CHANNEL_EMAIL, Address: run + "@example.org"},
		},
	})
	if err != nil {
		return err
	}
	id := started.Verification.VerificationId
	fmt.Println("started", id)

	code, err := codeOf(ctx, id)
	if err != nil {
		return err
	}
	checked, err := client.CheckCode(ctx, &pb.CheckCodeRequest{
		VerificationId: id,
		Code:           code,
		EntryMode:      pb.EntryMode_ENTRY_MODE_PORTAL,
		AttemptId:      "check-" + run,
	})
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimPrefix(checked.Verdict.String(), "VERDICT_"))
	return nil
}

// codeOf reads the code as the customer gets it: the message is handed over in the background, so it asks until it is there.
func codeOf(ctx context.Context, verificationID string) (string, error) {
	url := setting("COUNTERSIGN_HTTP", "http://127.0.0.1:8080") + "/dev/outbox"
	for tries := 0; tries < 50; tries++ {
		messages, err := outbox(ctx, url)
		if err != nil {
			return "", err
		}
		for _, message := range messages {
			if message.VerificationID == verificationID {
				return message.Code, nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", errors.New("no message in the outbox")
}

type message struct {
	VerificationID string `json:"verification_id"`
	Code           string `json:"code"`
}

func outbox(ctx context.Context, url string) ([]message, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var messages []message
	err = json.NewDecoder(response.Body).Decode(&messages)
	return messages, err
}

func apiKey() (string, error) {
	if key := os.Getenv("COUNTERSIGN_KEY"); key != "" {
		return key, nil
	}
	key, err := os.ReadFile("../../countersign-data/development.key")
	return strings.TrimSpace(string(key)), err
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func unique() string {
	bytes := make([]byte, 12)
	if _, err := rand.Read(bytes); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(bytes)
}
