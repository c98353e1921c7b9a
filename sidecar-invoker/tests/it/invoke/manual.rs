//! `sidecar-invoker completions` and `man`.

use super::{ended, run};

#[tokio::test]
async fn each_shell_gets_a_script_that_knows_the_subcommands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).await;
        assert_eq!(script.code, Some(0), "{shell}: {}", script.stderr);
        for word in ["invoke", "list-samples", "envoy-config"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    let script = run(&["completions", "bash"]).await.stdout;
    let mut bash = tokio::process::Command::new("bash");
    bash.arg("-c");
    bash.arg("source /dev/stdin && COMP_WORDS=(sidecar-invoker inv) COMP_CWORD=1 && _sidecar__invoker sidecar-invoker inv && echo \"${COMPREPLY[@]}\"");
    bash.stdin(std::process::Stdio::piped());
    bash.stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let completed = ended(bash, &script).await;
    assert_eq!(completed.stdout, "invoke\n", "{}", completed.stderr);
}

#[tokio::test]
async fn each_subcommand_has_a_manual_page() {
    let page = run(&["man"]).await.stdout;
    assert!(page.contains(".TH sidecar-invoker 1"), "{page}");
    assert!(!page.contains("guard"), "{page}");
    for subcommand in ["serve", "invoke", "event", "lrp", "completions"] {
        let page = run(&["man", subcommand]).await.stdout;
        assert!(
            page.contains(&format!(".TH sidecar-invoker-{subcommand} 1")),
            "{page}"
        );
        assert!(page.contains(".SH OPTIONS"), "{page}");
    }
}
