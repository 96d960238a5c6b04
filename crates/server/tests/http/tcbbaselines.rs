//! `/tcbbaselines/{type}`.

use serde_json::json;

use crate::managed::{Managed, plain};
use crate::support::{config, forge};

#[tokio::test(flavor = "multi_thread")]
async fn the_selected_baseline_is_marked() {
    let mut config = config("baselines", &forge(b"").mint());
    config.provider.baseline.min_tcb_evaluation = Some(16);
    let managed = Managed::start(config).await;
    let baselines = managed.get("/tcbbaselines/SgxEnclave").await.json();
    let baselines = baselines["tcbBaselines"].as_array().unwrap();
    assert_eq!(
        baselines[0],
        json!({ "tcbIdentifier": "azuredefault", "tcbEvaluationDataNumber": 16, "isSelectedTcb": true })
    );
    assert_eq!(
        baselines[5],
        json!({ "tcbIdentifier": "11", "tcbEvaluationDataNumber": 11, "tcbReleaseDate": "2021-06-08T00:00:00",
                "minimumPswLinuxVersion": "2.13.3", "minimumPswWindowsVersion": "2.13.100.2",
                "isSelectedTcb": false })
    );
    let policy = "version=1.1; configurationrules{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
                  value=\"11\");}; authorizationrules{=> permit();};";
    managed.answer(&managed.put("/policies/SgxEnclave", plain(policy)).await);
    let baselines = managed.get("/tcbbaselines/SgxEnclave").await.json();
    assert_eq!(baselines["tcbBaselines"][5]["isSelectedTcb"], true);
    assert_eq!(baselines["tcbBaselines"][0]["isSelectedTcb"], false);
    let others = managed.get("/tcbbaselines/SevSnpVm").await.json();
    assert_eq!(others, json!({ "tcbBaselines": [] }));
    managed.get("/tcbbaselines/Toaster").await.refusal(400, "InvalidParameter");
}
