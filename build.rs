//! Compiles the protos with a compiler written in Rust, so that no `protoc` is needed.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([
        "countersign/v1/verification_service.proto",
        "countersign/v1/admin_service.proto",
        "countersign/v1/sender_service.proto",
        "countersign/v1/send_hook_service.proto",
        "countersign/v1/errors.proto",
        "countersign/store/v1/record.proto",
        "countersign/store/v1/event.proto",
        "countersign/store/v1/side.proto",
    ])?;
    fs::write(
        out.join("descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        // Sorted maps give equal requests equal bytes, so a hash of a request recognises a repeat.
        .btree_map(".")
        // These messages contain guesses, addresses or what is approved; without `Debug` they cannot be printed by
        // accident.
        .skip_debug([
            ".countersign.v1.CheckCodeRequest",
            ".countersign.v1.StartVerificationRequest",
            ".countersign.v1.Recipient",
            ".countersign.v1.SendMessageRequest",
            ".countersign.v1.JudgeSendRequest",
            // A subject id, or a reason that somebody wrote.
            ".countersign.v1.GetSubjectRequest",
            ".countersign.v1.GetSubjectResponse",
            ".countersign.v1.UnlockSubjectRequest",
            ".countersign.v1.UnlockSubjectResponse",
            ".countersign.v1.Subject",
            ".countersign.store.v1",
        ])
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
