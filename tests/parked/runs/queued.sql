BEGIN TRANSACTION;
CREATE TABLE audit (
        seq INTEGER NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        what TEXT NOT NULL,
        why TEXT NOT NULL,
        evidence TEXT,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
INSERT INTO "audit" VALUES(1,'2026-03-02T12:00:00.000000+00:00','T1:USAM','','lock.set','staging/*','','load test',NULL,'0000000000000000000000000000000000000000000000000000000000000000','befbcb13e658c2055243e018f80787b449b478461cb1936fa82ae0159ccf964d');
INSERT INTO "audit" VALUES(2,'2026-03-02T12:00:00.000000+00:00','T1:UADA','','run.created','staging-1','deploy v1.4.0-rc.2 of shop to staging','','{"about":{"changes_url":"","durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"plan":"95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657","setting":"setting-1"}','befbcb13e658c2055243e018f80787b449b478461cb1936fa82ae0159ccf964d','19c49595d9bc175bb83814d3d24a6485837f42c93e43b9d8c252b7bd73ef5432');
CREATE TABLE buttons (
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        run TEXT NOT NULL,
        "index" INTEGER,
        plan_hash TEXT NOT NULL,
        argument TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (id)
    );
INSERT INTO "buttons" VALUES('MflYkrnGPbcOm9B2','pause','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('a1RZvWipGtGY0IXL','resume','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('YjKVxPgAjXqslSj5','abort','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('xiR_Koh1MnXZdN2B','retry','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('8HHQzvDMWxsfDSSZ','cancel','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
CREATE TABLE checkpoints (
        seq INTEGER NOT NULL,
        instance TEXT NOT NULL,
        hash TEXT NOT NULL,
        at TEXT NOT NULL,
        key_id TEXT NOT NULL,
        signature TEXT NOT NULL,
        reason TEXT NOT NULL,
        places TEXT,
        stored_at TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
CREATE TABLE clicks (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        actor TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        roles TEXT,
        decision TEXT NOT NULL,
        plan_hash TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL,
        withdrawn_at TEXT,
        void_at TEXT
    );
CREATE TABLE counters (
        series TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (series)
    );
INSERT INTO "counters" VALUES('runs:staging',1);
CREATE TABLE decisions (
        run TEXT NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        version TEXT NOT NULL,
        result TEXT NOT NULL,
        release TEXT,
        approvers TEXT,
        at TEXT NOT NULL,
        PRIMARY KEY (run)
    );
CREATE TABLE locks (
        environment TEXT NOT NULL,
        service TEXT NOT NULL,
        owner TEXT NOT NULL,
        owner_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (environment, service)
    );
INSERT INTO "locks" VALUES('staging','*','T1:USAM','Sam','load test','','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE meta (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name)
    );
INSERT INTO "meta" VALUES('instance','f9565c749626083c');
INSERT INTO "meta" VALUES('last_batch','3620c2ca6d36:10');
CREATE TABLE outgoing (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        run TEXT NOT NULL,
        payload TEXT,
        broadcast BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        not_before TEXT,
        error TEXT NOT NULL,
        created_at TEXT NOT NULL,
        sent_at TEXT
    );
INSERT INTO "outgoing" VALUES(1,'answer:1','answer','','{"blocks":[{"text":{"text":":white_check_mark: staging is locked: no run starts there. ˋunlock stagingˋ releases it.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":1,"text":"staging is locked: no run starts there. ˋunlock stagingˋ releases it."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(2,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(3,'answer:2','answer','staging-1','{"blocks":[{"text":{"text":":white_check_mark: staging-1 is queued. Sam locked staging 0 min ago: load test. `/forge unlock staging` releases it.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":2,"text":"staging-1 is queued. Sam locked staging 0 min ago: load test. `/forge unlock staging` releases it."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE posted (
        subject TEXT NOT NULL,
        run TEXT NOT NULL,
        channel TEXT NOT NULL,
        ts TEXT NOT NULL,
        thread_ts TEXT NOT NULL,
        permalink TEXT NOT NULL,
        rendered TEXT NOT NULL,
        posted_at TEXT NOT NULL,
        PRIMARY KEY (subject)
    );
INSERT INTO "posted" VALUES('headline:staging-1','staging-1','C1','1.0','','https://slack.test/1.0','a32b12de4b57fb23aec5a6e26fda45e66bc5f4ce2849def751b4433e754c7204','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE received (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        dedup TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT,
        received_at TEXT NOT NULL,
        done_at TEXT,
        result TEXT NOT NULL,
        UNIQUE (dedup)
    );
INSERT INTO "received" VALUES(1,'https://hooks.slack.test/1','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/1","team":"T1","text":"lock staging --reason \"load test\"","user":"USAM"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','lock.set');
INSERT INTO "received" VALUES(2,'https://hooks.slack.test/2','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/2","team":"T1","text":"deploy staging v1.4.0-rc.2","user":"UADA"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','run.queued');
CREATE TABLE runs (
        id TEXT NOT NULL,
        number INTEGER NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        procedure TEXT NOT NULL,
        version TEXT NOT NULL,
        arguments TEXT,
        requester TEXT NOT NULL,
        requester_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL,
        ending TEXT,
        ending_code TEXT NOT NULL,
        ending_reason TEXT NOT NULL,
        position INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        plan_hash TEXT NOT NULL,
        setting_hash TEXT NOT NULL,
        facts TEXT,
        interrupt TEXT,
        first_effect_at TEXT,
        paused_at TEXT,
        created_at TEXT NOT NULL,
        ended_at TEXT,
        PRIMARY KEY (id)
    );
INSERT INTO "runs" VALUES('staging-1',1,'shop','staging','staging','v1.4.0-rc.2','{"version":"v1.4.0-rc.2"}','T1:UADA','Ada','','queued',NULL,'','',0,1,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657','setting-1','{}',NULL,NULL,NULL,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE schema_versions (
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        applied_at TEXT NOT NULL,
        PRIMARY KEY (number)
    );
INSERT INTO "schema_versions" VALUES(1,'first','2026-11-23T02:41:19.715679+00:00');
CREATE TABLE seen_tags (
        service TEXT NOT NULL,
        tag TEXT NOT NULL,
        tag_object TEXT NOT NULL,
        "commit" TEXT NOT NULL,
        first_seen_at TEXT NOT NULL,
        PRIMARY KEY (service, tag)
    );
INSERT INTO "seen_tags" VALUES('shop','v1.4.0-rc.2','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','cccccccccccccccccccccccccccccccccccccccc','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE segments (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        procedure TEXT NOT NULL,
        plan TEXT NOT NULL,
        hash TEXT NOT NULL,
        first_index INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        replaced_at TEXT,
        PRIMARY KEY (run, number)
    );
INSERT INTO "segments" VALUES('staging-1',1,'staging','{"about":{"changes_url":"","durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"environment":"staging","nodes":[{"checks":[{"kind":"candidate_tag","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Release candidate"},{"checks":[{"commit":"cccccccccccccccccccccccccccccccccccccccc","kind":"ci_green","repository":"acme/shop","required":[]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":1800.0,"retries":2,"retry_wait_s":5.0,"title":"CI green"},{"checks":[{"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"deployable","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Workloads deployable"},{"expires_s":86400.0,"kind":"approval","on_fail":"stop","purpose":"deploy","retries":2,"retry_wait_s":5.0,"roles":["service_owner"],"title":"Deploy to staging"},{"kind":"remember_images","on_fail":"stop","retries":2,"retry_wait_s":5.0,"title":"Remember the images that run now","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]},{"guards":[{"above":true,"for_s":300.0,"limit":0.03,"metric":"forge:error_ratio:1m","name":"error rate","track":"stable","unit":"ratio"},{"above":true,"for_s":300.0,"limit":1.0,"metric":"forge:latency_p95_seconds:1m","name":"API p95 latency","track":"stable","unit":"s"},{"above":false,"for_s":300.0,"limit":0.95,"metric":"forge:readiness_ratio:1m","name":"readiness success","track":"stable","unit":"ratio"}],"on_breach":"return_to_previous","steps":[{"image":{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy web","trouble_within_s":60.0},{"image":{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy worker","trouble_within_s":60.0},{"attempts":3,"base_url":"http://shop.staging","kind":"smoke_test","on_fail":"procedure:return_to_previous","requests":[{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"liveness","optional":false,"path":"/health/live","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"readiness","optional":false,"path":"/health/ready","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"startup","optional":true,"path":"/health/startup","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"retries":2,"retry_wait_s":5.0,"service":"shop","title":"Smoke tests","wait_s":2.0},{"acceptance":{"interval_s":1.0,"p95_s":0.25,"success_ratio":0.99,"timeout_s":2.0,"window_s":300.0},"base_url":"http://shop.staging","duration_s":30.0,"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"observe","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"service":"shop","smoke":[{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"smoke_every_s":30.0,"title":"Observe key metrics and health"},{"checks":[{"kind":"steady_state","max_error_ratio":0.01,"max_latency_p95_s":0.4,"min_requests":10,"service":"shop","window":"1m"}],"every_s":15.0,"kind":"gate","on_fail":"procedure:return_to_previous","patience_s":600.0,"retries":2,"retry_wait_s":5.0,"title":"Staging acceptance"},{"expires_s":86400.0,"kind":"approval","on_fail":"procedure:return_to_previous","purpose":"go","retries":2,"retry_wait_s":5.0,"roles":["product","service_owner"],"title":"Go or no-go"}]},{"kind":"record_decision","on_fail":"hold","result":"go","retries":2,"retry_wait_s":5.0,"title":"Record the result"},{"kind":"announce","moment":"completed","on_fail":"continue","retries":2,"retry_wait_s":5.0,"title":"Announce the result"}],"procedure":"staging","service":"shop","version":"v1.4.0-rc.2"}','95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',0,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE steps (
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        started_at TEXT,
        deadline TEXT,
        finished_at TEXT,
        outcome TEXT,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        verdicts TEXT,
        progress TEXT,
        escalation INTEGER NOT NULL,
        PRIMARY KEY (run, "index")
    );
INSERT INTO "steps" VALUES('staging-1',0,1,'gate','Release candidate','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',1,1,'gate','CI green','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',2,1,'gate','Workloads deployable','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',3,1,'approval','Deploy to staging','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',4,1,'remember_images','Remember the images that run now','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',5,1,'deploy_workload','Deploy web','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',6,1,'deploy_workload','Deploy worker','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',7,1,'smoke_test','Smoke tests','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',8,1,'observe','Observe key metrics and health','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',9,1,'gate','Staging acceptance','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',10,1,'approval','Go or no-go','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',11,1,'record_decision','Record the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',12,1,'announce','Announce the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
CREATE INDEX runs_by_environment ON runs (environment, service, number);
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX steps_by_state ON steps (state);
CREATE INDEX clicks_by_step ON clicks (run, "index");
CREATE INDEX buttons_by_run ON buttons (run, "index");
CREATE INDEX received_by_done_at ON received (done_at);
CREATE INDEX outgoing_by_run ON outgoing (run);
CREATE INDEX outgoing_by_state ON outgoing (state, id);
CREATE INDEX outgoing_by_subject ON outgoing (subject, state);
CREATE INDEX posted_by_place ON posted (channel, ts);
CREATE INDEX posted_by_run ON posted (run);
CREATE INDEX decisions_by_version ON decisions (service, environment, version);
CREATE INDEX audit_by_subject ON audit (subject);
CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is deleted'); END;
CREATE TRIGGER audit_keeps_wording BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is changed'); END;
CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: entries follow one another'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('received',2);
INSERT INTO "sqlite_sequence" VALUES('outgoing',3);
COMMIT;
